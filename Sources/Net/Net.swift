// First file of Net; replaced as the room is furnished.
