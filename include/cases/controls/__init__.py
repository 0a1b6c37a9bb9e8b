"""Nights of planted controls: something is planted, the house's proofs are asked, and what they did not find is said.

- :mod:`night`: one night, from the sealed note to the ledger;
- :mod:`looking`: the proofs of the house, asked about the made-up person as about any other;
- :mod:`judging`: what was planted beside what was named;
- :mod:`results`: what a night found;
- :mod:`nights`: what the case book keeps of it;
- :mod:`doubt`: evidence of a night whose controls were missed does not count.

The planter (:mod:`include.planting`) and the proofs (:mod:`include.proofs`) are both assembled here, and know nothing of
each other; :mod:`doubt` and :mod:`results`, which every proof is recorded beside, import neither.
"""
