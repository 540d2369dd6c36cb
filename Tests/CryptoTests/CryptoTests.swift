// First file of CryptoTests; replaced as the room is furnished.
