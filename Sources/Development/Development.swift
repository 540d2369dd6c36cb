// First file of Development; replaced as the room is furnished.
