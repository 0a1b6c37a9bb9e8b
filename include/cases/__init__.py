"""The case book and the five verbs over a cohort. Assembles the other rooms; imports no Airflow.

Pure, without I/O (each a file of one idea):

* ``machine``   which transition is allowed, and why another is not (law.md section E)
* ``refusals``  the only eight ways to say no, and what a no must carry
* ``periods``   when a period ends; ``workdays`` the PRC working-day calendar; ``clocks`` the deadlines
* ``planner``   what the catalogue and the holds provide for each dataset; ``explain`` the same in words
* ``balance``   located = erased + deidentified + anonymised + transferred + unlinked + retained + held

With I/O:

* ``keys``, ``sealing``  the key store, and what its keys are used for
* ``migrate``, ``book``, ``timeline``, ``units``, ``holds``, ``plans``, ``outbox``: the book, plain SQL
* ``rooms``     what a verb is given; ``assembling``, ``wiring`` make it of a catalogue and connections
* ``verbs``     what a task or the command line calls: idempotent, resumed from receipts
"""
