"""How a shared item that somebody else still owns is told, in whatever store it is: the same words on one plan."""

SHARED_LAW = "policy 11.4(7): another owner's lawful interest"
