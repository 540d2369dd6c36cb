// First file of Pipeline; replaced as the room is furnished.
