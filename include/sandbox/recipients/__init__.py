"""The outside world: the 26 bodies that the sandbox's company gave data to, in one process on loopback.

    python -m include.sandbox.recipients --home DIRECTORY --port N --mail-port N [--completes-after SECONDS]

* ``bodies``     who they are (``recipients.yaml``) and the ways in which one can behave
* ``world``      what they know, of whom, and how each behaves now; over ``state``, one SQLite file
* ``reading``, ``book``, ``deeds``   a request as OpenDSR has it; taking it once; what a body does and answers
* ``server``, ``callbacks``, ``post``   HTTPS, telling the company of a change, letter boxes
* ``partners``   who gave the company data: they tell it to delete, and hear from it
* ``authority``  certificates for all of that
* ``places``     how the rest of the sandbox finds all that; ``outside``: all of it together, running
* ``populace``   the company's people, registered with whoever was given their data
* ``truth``      what the bodies really still know of somebody

Nothing here shares code with ``include.recipients``, which talks to it.
"""
