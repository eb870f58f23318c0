"""Systems to be operated: reservoirs, and a phone."""
