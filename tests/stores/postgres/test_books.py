"""What a disposal does beyond its plan rolls it back, whoever did it."""

from __future__ import annotations

import pytest

from include.model.errors import BooksDoNotBalance
from tests.stores.postgres.making import Company, shop_provisions, step

BODY = {
    "writes another's row": "UPDATE sign.folder SET label = 'gone' WHERE owner_id = 'A5'; RETURN OLD;",
    "takes another's row along": "DELETE FROM log.access WHERE account_id = 'A5'; RETURN OLD;",
    "keeps a copy": "INSERT INTO log.copy VALUES (OLD.id); RETURN OLD;",
    "silently ignores the delete": "RETURN NULL;",
}


@pytest.mark.parametrize("what", BODY)
def test_a_trigger_that_does_more_or_less_than_planned_rolls_everything_back(
    shop: Company, what: str
) -> None:
    # The owner's trigger, as a company may have it: nobody declared its effect.
    shop.sql(
        "CREATE TABLE log.copy (id bigint);"
        "CREATE FUNCTION account.after_all() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        f" $$ BEGIN {BODY[what]} END $$;"
        "CREATE TRIGGER after_all BEFORE DELETE ON account.session FOR EACH ROW EXECUTE FUNCTION account.after_all()"
    )
    tables = ("account.session", "sign.folder", "account.account", "log.access")
    before = [shop.digest(table) for table in tables]
    with pytest.raises(BooksDoNotBalance, match="planned"):
        shop.cancel(step("A2"), shop_provisions())
    assert [shop.digest(table) for table in tables] == before
    assert shop.value("SELECT count(*) FROM log.copy") == 0
