"""Small helps for other libraries. Each is imported only by who uses that library."""
