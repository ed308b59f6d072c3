// The description of the API, shown by Swagger UI, which comes with BentoML.
window.SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true });
