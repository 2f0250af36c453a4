"""An HTTP peer made to misbehave, for every test that looks at what an upstream's fault does to us."""
