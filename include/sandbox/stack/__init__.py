"""The servers of the sandbox, on loopback, without root or Docker. ``stack.Stack`` is the front door.

* ``places``     where state lives, and as whom servers run
* ``vault``      the secrets, one for each role, made once
* ``ports``      free ports, chosen once and kept
* ``process``    start, watch and stop one server; never stops what it did not start
* ``postgres``   one PostgreSQL cluster
* ``objects``    the S3 server
* ``airflow``    Airflow's four components
* ``settings``   ``airflow_settings.yaml`` to what the processes read
* ``servers``    what they are made of, and how others reach them
* ``stack``      all of them together: up, down, status
"""
