"""What the demos show: a release that goes well, bad releases, a NO-GO, and a controller that dies half-way."""
