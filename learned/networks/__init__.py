"""Networks on meshes, as torch modules."""
