// First file of Admin; replaced as the room is furnished.
