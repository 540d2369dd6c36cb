// First file of HTTP; replaced as the room is furnished.
