// First file of JOSE; replaced as the room is furnished.
