// First file of CedarTests; replaced as the room is furnished.
