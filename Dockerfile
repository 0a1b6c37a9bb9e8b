# Astro's image; it installs packages.txt and requirements.txt, and copies the project.
FROM astrocrpublic.azurecr.io/runtime:3.3-1
