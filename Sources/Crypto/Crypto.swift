// First file of Crypto; replaced as the room is furnished.
