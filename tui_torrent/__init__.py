"""BitTorrent-style file distribution over MPI, with a live monitor."""
