// First file of PolicyTools; replaced as the room is furnished.
