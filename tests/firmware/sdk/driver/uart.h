/* ESP-IDF's UART: what Serial calls of it. */
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef int esp_err_t;
typedef int uart_port_t;
typedef struct queue *QueueHandle_t;
#define UART_NUM_0 0
esp_err_t uart_driver_install(uart_port_t port, int rx, int tx, int queue_size, QueueHandle_t *queue, int flags);
esp_err_t uart_set_baudrate(uart_port_t port, uint32_t rate);
int uart_read_bytes(uart_port_t port, void *to, uint32_t length, uint32_t ticks);
int uart_write_bytes(uart_port_t port, const void *from, size_t length);
