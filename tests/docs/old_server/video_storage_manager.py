"""An older installation's own storage of videos. It is here to be in the way."""
