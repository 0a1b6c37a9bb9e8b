"""Everything of Quietus that thinks. Importable without Airflow, and never imports it."""
