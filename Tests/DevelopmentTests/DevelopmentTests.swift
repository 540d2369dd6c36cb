// First file of DevelopmentTests; replaced as the room is furnished.
