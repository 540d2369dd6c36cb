// First file of NetTests; replaced as the room is furnished.
