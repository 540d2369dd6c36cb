// First file of CedarSchema; replaced as the room is furnished.
