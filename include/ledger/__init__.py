"""That we said so: an append-only Merkle log of all evidence, signed heads, and certificates.

* ``merkle``       RFC 6962 tree hashes and proofs, without any storage
* ``checkpoint``   C2SP signed notes and checkpoints, and the succession of keys
* ``screen``       what may not enter the log: personal values, odd types, large bodies
* ``log``          the log in PostgreSQL (``ledger.sql``): append, read, prove
* ``sequencer``    the one process that gives entries their index, and publishes signed heads
* ``signer``       the process that holds the key and signs nothing but extensions of what it signed
* ``anchor``       signed heads kept outside, under Object Lock, and the audit against them
* ``certificate``  what a certificate says, as frozen types
* ``issue``        from a case's draft to a signed certificate, or a refusal
* ``verify``       the offline verifier: one file, standard library and ``cryptography`` alone

This file imports nothing, so that the signer and the verifier stay small.
"""
