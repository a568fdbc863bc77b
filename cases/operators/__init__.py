"""Cases of operator networks on geometries that they have not seen, one file each, and what these cases share."""
