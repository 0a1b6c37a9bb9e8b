"""Who else was told, and what became of it: from the decision to a terminal answer of every recipient.

* ``whom``       whom to tell; ``register`` what the company's own data says about that
* ``composing``  what one recipient is told: only what it already has
* ``outbox``     the notices in the book: written with the decision, listed, escalated
* ``sending``    whose turn it is, and how each attempt ended; ``telling`` one recipient's whole batch
* ``answering``  what was answered, judged and recorded; ``standing`` what all answers give together
* ``history``    what was asked over all rounds, and what is gone; ``held`` what is to be preserved by now
* ``rounds``     a further notice; ``preserving`` for a hold that came or went, ``again`` for what was retained
* ``holes``      a use without an entry in the register of transfers
* ``beyond``     what was given though the policy does not list it; ``explaining`` when somebody answers for either
* ``synthetic``  people of our own, by whom a recipient's word is tested
* ``truth``      whether who said that it deleted still knows; ``rechecks`` that in the ledger
* ``errands``    what only a person can do
* ``saying``     what the person is told of them
* ``stopping``   who is given nothing more
* ``record``     how each recipient answers, ``figures`` that in the ledger; ``keeping`` the end of these records (RS-22)
"""
