# Sourced by test/deploy.sh: two nodes of Patroni.

packages python3-venv
works "Patroni: a node takes over and reads, if it has the keyring" sh test/scratch.sh sh test/deploy/servers/patroni.sh
