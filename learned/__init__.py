"""Graph networks that move meshes or stand in for operators (torch, PyG; never Firedrake)."""
