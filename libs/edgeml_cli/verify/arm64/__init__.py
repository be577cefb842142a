"""The suite in a root file system of 64-bit ARM: emulated on a machine of another kind, as it is on one of this kind."""
