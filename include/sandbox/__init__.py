"""A whole small certification authority to run against: its servers, its people, its recipients.

``stack`` starts and stops the servers. Nothing outside ``sandbox`` and ``commands`` imports this room.
"""
