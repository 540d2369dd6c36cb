// First file of HTTPTests; replaced as the room is furnished.
