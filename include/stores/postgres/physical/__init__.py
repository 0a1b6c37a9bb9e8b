"""What lies below rows in a company database: who keeps the dead alive, and the files in which they lie.

* ``facts``      one look at it: snapshots, slots, prepared transactions, WAL; what follows of it for R3 and R5
* ``rewriting``  tables written anew, from live rows alone; ``due`` which, by what the database remembers
"""
