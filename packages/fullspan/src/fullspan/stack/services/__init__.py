"""How to run and probe the services that a stack needs: each module is one of them."""
