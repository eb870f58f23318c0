"""Problems that take steps: generated and published ones, their solutions, and verifiers."""
