"""How Coldchain meets the world: sites, policies, the Prefect server, registration, and the `coldchain` command."""
