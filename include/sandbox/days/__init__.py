"""Days of the sandbox, played one after the other: what the company's people and Quietus do on each, judged by that day's date.

What is judged is a day to come; what is observed is observed now: copies that were really taken, and are really gone.

- :mod:`calendar`: which day it is, and on which day each copy was taken;
- :mod:`company`: the company's own people: backups, locks, errands, the letter;
- :mod:`quietus`: what the DAGs do by themselves: scrub, expiry, the look at backups, clocks, recipients;
- :mod:`waking`: the case itself, when one of its dates is over, and its end;
- :mod:`play`: one day after the other, until so many are over or the case is closed;
- :mod:`ending`: the drill, the certificate verified, and the horizon through time.
"""
