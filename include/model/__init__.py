"""The words of Quietus as frozen types, and the Protocols at its doors. Imports nothing of ours.

One file per group of words:

* ``words``      the closed vocabularies: dispositions, rungs, grounds, states, roles
* ``errors``     the one family of errors an operator may see
* ``catalogue``  what is declared: clauses, categories, rules, datasets, recipients, stores
* ``flow``       what passes between the five verbs: step, survey, provision, plan, receipt, evidence
* ``notices``    what passes between us and a recipient: notice, delivery, answer
* ``doors``      the Protocols a store, a key store, a channel or a connection resolver implements
* ``times``      the two times (``as_of`` and ``observed_at``), periods and the PRC time zone
"""
