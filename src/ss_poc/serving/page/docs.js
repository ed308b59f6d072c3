// The description of the API, shown by Swagger UI (swagger/README.md).
window.SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true });
