# Astro's image; it installs packages.txt and requirements.txt, and copies the project.
FROM astrocrpublic.azurecr.io/runtime:3.3-1
# Seconds before a promise's step is first tried again; by Airflow's own default 300.
ENV AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY=20
