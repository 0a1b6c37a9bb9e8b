from tests.cases.conftest import case_book, database, reader, writer
from tests.planting.house import house, nights_pg15, nights_pg18, pg_server
from tests.stores.postgres.conftest import new_company, shop

__all__ = [
    "case_book",
    "database",
    "house",
    "new_company",
    "nights_pg15",
    "nights_pg18",
    "pg_server",
    "reader",
    "shop",
    "writer",
]
