"""Who else has the data: how each is told, and what of its answers is believed.

* ``opening``  the channel to one recipient: ``opendsr`` over HTTPS, ``mail``, or a ``person`` who carries it
* ``letters``  what is said in a letter or on the telephone
* ``calling``  one session over HTTPS, limited in size and, by ``waiting``, in time; ``forms`` what OpenDSR writes
* ``signing``  that an answer is the recipient's own
* ``answers``  whether it is accepted, part by part; ``citing`` the law that it cites

Imports only ``include.model``. What is personal stays in memory: nothing here logs, and no reason that is given for
a failure quotes what the other side sent.
"""
