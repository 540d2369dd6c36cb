// First file of Cedar; replaced as the room is furnished.
