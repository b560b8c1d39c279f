"""The console's page: template, style, and a little script that tells why a sound failed."""
